"""notify(): inbox and mail, in the reader's language."""
