"""The vocabulary of the engine: values and rules, no input or output, no clock, no randomness."""
