"""Why a document of a finished run stayed or went: `dolma explain`."""
