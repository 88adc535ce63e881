"""Labelled data: samples and their manifest, the public sets, pixels, and boxes where the data name none."""
