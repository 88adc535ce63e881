"""The reading room: readers rate cases in a browser, blind, in an order of their own, every answer stored at once."""
