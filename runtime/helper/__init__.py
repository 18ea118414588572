"""How does the runtime start, talk to and end a process of its own?"""
