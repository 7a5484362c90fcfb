"""Verbs on proposals: drafting (the partner asks), decisions (the agency decides), answers (the partner accepts)."""
