"""The trial of adapters: it knows cases and adapters, and no framework."""
