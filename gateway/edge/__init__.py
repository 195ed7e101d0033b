"""The doors: JSON-RPC for clients, HTTP for operators.  What comes in here is not trusted."""
