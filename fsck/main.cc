#include "fsck/command.h"

int main(int argc, char** argv) { return xdax::fsck::run_command(argc, argv); }
