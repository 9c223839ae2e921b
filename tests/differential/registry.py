"""Scenarios by name."""


class Scenarios(dict):
    """A decorator that keeps the function under a name."""

    def __call__(self, name):
        def keep(function):
            assert name not in self, name
            self[name] = function
            return function

        return keep
