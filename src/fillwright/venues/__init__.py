"""DEX programs: one folder each, pure maths over account bytes, independent of each other."""
