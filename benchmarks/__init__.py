"""Speed and accuracy, with peers measured in the same run: ``python -m benchmarks``."""
