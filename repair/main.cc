#include "repair/command.h"

int main(int argc, char** argv) { return xdax::repair::run_command(argc, argv); }
