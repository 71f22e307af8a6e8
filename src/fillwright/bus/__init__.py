"""Doorbells and fan-outs behind `ports.Bus`."""
