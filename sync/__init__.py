"""What terminal and centre share: record and batch formats, signing, verification, the uploader. Knows no device."""
