"""Allocators, processes and control groups: what is told of them."""
