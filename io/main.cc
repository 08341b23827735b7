#include "io/command.h"

int main(int argc, char** argv) { return xdax::io::run_command(argc, argv); }
