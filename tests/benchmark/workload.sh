#!/bin/sh
# What script.cpp measures: a configure script of TESTS tests, as autoconf writes them, and a small
# build with make, in DIRECTORY. EXPECTED is what `id -u` has to say.
#
#   workload.sh DIRECTORY TESTS EXPECTED
set -eu
cd "$1"
tests=$2
expected=$3
rm -rf work
mkdir work
cd work
exec >config.log 2>&1
set -x

test "$(id -u)" = "$expected"
: >config.h
number=0
while [ "$number" -lt "$tests" ]; do
  number=$((number + 1))
  case $((number % 5)) in
    # Does it compile?
    0)
      printf '#include <stdio.h>\nint main(void) { return puts("%s") < 0; }\n' "$number" >conftest.c
      cc -c conftest.c -o conftest.o
      echo "#define HAVE_$number 1" >>config.h ;;
    # Who is it, and what is this machine called?
    1) owner=$(id -un 2>/dev/null || id -u)
       echo "/* $(uname -s) $owner $(id -g) */" >>config.h ;;
    # What did an earlier test find?
    2) found=$(sed -n 's/^#define \(HAVE_[0-9]*\) 1$/\1/p' config.h | cat)
       test -n "$found" || test "$number" -lt 5 ;;
    # Do the tools work?
    3) echo "$number" | tr 0-9 a-j >conftest.letters
       test "$(tr a-j 0-9 <conftest.letters)" = "$number"
       rm -f conftest.letters ;;
    # Can a file be moved and its mode be set?
    4) echo "$number" >conftest.new
       mv conftest.new conftest.file
       chmod 600 conftest.file
       ls -l conftest.file
       grep -q "$number" conftest.file ;;
  esac
done

files=$((tests / 10 + 2))
objects=
number=0
while [ "$number" -lt "$files" ]; do
  number=$((number + 1))
  sed "s/@NUMBER@/$number/g" >"part$number.c" <<'SOURCE'
#include "config.h"
#include <stdlib.h>
#include <string.h>
int part@NUMBER@(const char *text) { return atoi(text) + (int)strlen(text) + @NUMBER@; }
SOURCE
  objects="$objects part$number.o"
done
printf 'int part1(const char *);\nint main(int n, char **words) { return n < 0 ? part1(words[0]) : 0; }\n' >main.c
cat >Makefile <<MAKEFILE
program: main.o $objects
	cc -o \$@ main.o $objects
.c.o:
	cc -O1 -c \$<
install: program
	mkdir -p installed/bin
	cp program installed/bin
	chmod 755 installed/bin/program
MAKEFILE
make
make install
installed/bin/program
