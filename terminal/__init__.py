"""The till: use cases in the middle, adapters around them, bootstrap.py the only module that knows every adapter."""
