"""How does a browser see runs? Pages that are made of journals and logs; nothing here can change a run."""
