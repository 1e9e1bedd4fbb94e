"""The command line: one file per verb, each with `arguments(parser)` and `run(options)`; loaded only when asked for."""
