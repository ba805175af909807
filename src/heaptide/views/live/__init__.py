"""The live view: a recording that is being made, as a screen that changes in place.

``model`` says what is shown, ``rows`` its table, ``snapshot`` prints it once; none of them knows
``textual``, which only ``screen`` and its parts need. Everything is read from the growing file and
the collector's shared memory: the recorded program and the collector never wait for a view.
"""
