"""Pure: an order and a snapshot in, a route out."""
