"""What we claim about speed and memory, runnable: `make bench`, or `python -m benchmarks --help`.

One module a benchmark, each with a `measure` that gives rows of the one table; `published` is the
procedure that all of them are compared with.
"""
