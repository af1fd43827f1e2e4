"""What a person at the terminal asks for and sees: tables, progress, and the commands that run for a while.

``cli`` turns arguments into calls of these; nothing else imports them.
"""
