"""Files: finding, reading and writing them. The rest of the package touches the file system through here alone."""
