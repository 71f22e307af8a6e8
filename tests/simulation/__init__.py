"""The whole engine on virtual time under seeded faults, and mutants of it that must be caught."""
