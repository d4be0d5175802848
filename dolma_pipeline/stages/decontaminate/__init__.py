"""decontaminate: marks documents that hold questions, answers or passages of evaluation sets."""
