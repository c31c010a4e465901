package cli

// Version is the release this source becomes; the images that are rendered into Jobs carry the same number.
const Version = "0.1.0"
