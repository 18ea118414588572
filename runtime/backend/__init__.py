"""Where does it run? The contract of a backend, and the backends that keep it."""
