"""What a technician wants to know of one terminal: its readers, the services in between, the till.

``models.py`` is the table of readers; ``usb.py``, ``system.py`` and ``till_state.py`` look, each below a folder that is
given to them; ``examine.py`` turns what was seen into findings. Nothing here changes anything.
"""
