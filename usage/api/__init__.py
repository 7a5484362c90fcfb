"""The API skin of usage: the same verbs as the pages."""
