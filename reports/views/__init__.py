"""The agency's pages about the machines. They do not exist for anybody else (404)."""
