"""The live app: a page on which a cine clip or a camera is watched while it is being read."""
