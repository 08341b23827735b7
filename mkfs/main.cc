#include "mkfs/command.h"

int main(int argc, char** argv) { return xdax::mkfs::run_command(argc, argv); }
