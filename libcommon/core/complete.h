/*
 * Completions for shells, and a list for other programs, from the tables of
 * options.
 *
 *	bash, zsh, fish   a script for that shell
 *	list              a line for each option: program, name, variable, type,
 *	                  default, value, flags and help, parted by tabs; "-" is
 *	                  for none
 *
 * Nothing is offered that would have to be asked for over a network.
 */
#ifndef CORE_COMPLETE_H
#define CORE_COMPLETE_H

#include <stddef.h>
#include <stdio.h>

struct err;
struct opt_program;

#define COMPLETE_FORMATS "bash|zsh|fish|list"

/*
 * Prints it for the program that users call name. programs has one of that name,
 * and its commands, called "name command" and "name command action"; opts NULL is
 * for one that does nothing but to have commands. ERR_USAGE for another format.
 */
int complete_print(const char *format, const char *name,
    const struct opt_program *const *programs, size_t n, FILE *f,
    struct err *e);

#endif
