"""The node agent: what runs on a GPU node. Imports no Django and no app."""
