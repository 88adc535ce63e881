"""The studies of Radiology 2023;307(5):e221157: does a network generalise, and does it help a reader?"""
