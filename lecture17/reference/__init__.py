"""NumPy: what the mathematics says. One head, no batch, tokens are rows, float64. Imports only NumPy."""
