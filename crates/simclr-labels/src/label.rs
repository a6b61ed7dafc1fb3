/// An image and its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Label {
    /// The image's path, with `/`, as the file with the labels has it.
    pub image: String,
    /// The class.
    pub class: String,
    /// How sure a classifier is, between 0 and 1; nothing if a person said it.
    pub confidence: Option<f64>,
}

impl Label {
    /// A class that a person gave to an image.
    pub fn new(image: impl Into<String>, class: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            class: class.into(),
            confidence: None,
        }
    }

    /// The name of the image's file.
    pub(crate) fn file_name(&self) -> &str {
        self.image.rsplit('/').next().unwrap_or(&self.image)
    }
}
