"""Statements of use, rules about idle GPUs and the cases that follow from them."""
