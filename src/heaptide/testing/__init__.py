"""The pytest plugin: budgets, leak checks, benchmarks and baselines of tests."""
