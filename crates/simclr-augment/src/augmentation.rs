use std::fmt;
use std::sync::Arc;

use crate::error::Result;
use crate::image::{DecodedImage, Image, SourceImage};
use crate::stream::{Stream, View};

/// Turns an image into views: the interface between augmentation and everything that trains
/// or evaluates on views. [`Policy`](crate::Policy) implements it.
///
/// A view is a pure function of the image and of the [`Stream`], whose address names seed,
/// epoch, sample and view. Implementations keep no state and draw every random number from
/// [`Stream::rng`], so that the number of threads, the order of calls and an interruption
/// change nothing.
///
/// ```
/// use simclr_augment::rand::Rng;
/// use simclr_augment::{Augmentation, Policy, Purpose, Result, SourceImage, Stream};
///
/// /// A policy's views, some of them inverted.
/// #[derive(Debug)]
/// struct Inverted {
///     policy: Policy,
///     probability: f32,
/// }
///
/// impl Augmentation for Inverted {
///     fn view_size(&self) -> (usize, usize) {
///         self.policy.view_size()
///     }
///
///     fn view_into(&self, image: &SourceImage, stream: Stream, output: &mut [f32]) -> Result<()> {
///         self.policy.view_into(image, stream, output)?;
///         if stream.rng(Purpose::Custom(0)).random::<f32>() < self.probability {
///             output.iter_mut().for_each(|value| *value = 1.0 - *value);
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait Augmentation: fmt::Debug + Send + Sync {
    /// Height and width of every view.
    fn view_size(&self) -> (usize, usize);

    /// Writes the view at `stream` of `image` to `output`: `height * width * 3` values in
    /// [0, 1], row by row, red, green and blue of each pixel together.
    ///
    /// # Errors
    /// If the view cannot be made. Errors of other types are wrapped by
    /// [`Error::custom`](crate::Error::custom).
    fn view_into(&self, image: &SourceImage, stream: Stream, output: &mut [f32]) -> Result<()>;

    /// Checks the options before any image is read. Default: nothing to check.
    ///
    /// # Errors
    /// Names the first option that is out of range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// A text that identifies the augmentation with all its options in the record of a run:
    /// augmentations that make different views differ in it. Default: the `Debug` form.
    fn describe(&self) -> String {
        format!("{self:?}")
    }

    /// The part of the work that does not depend on the stream, for images that are kept in
    /// memory and used again: views of the result equal views of `image`. Default: `image`
    /// itself.
    ///
    /// # Errors
    /// If the work fails.
    fn prepare(&self, image: DecodedImage) -> Result<SourceImage> {
        Ok(image.into())
    }

    /// Several views of one image: view i, whatever `stream`'s own view, goes to
    /// `outputs[i]`. Default: [`Self::view_into`] for each of them.
    ///
    /// # Errors
    /// As [`Self::view_into`].
    fn views_into(
        &self,
        image: &SourceImage,
        stream: Stream,
        outputs: &mut [&mut [f32]],
    ) -> Result<()> {
        (0..).zip(outputs).try_for_each(|(index, output)| {
            self.view_into(image, stream.view(View::Index(index)), output)
        })
    }

    /// One view as an image of its own; see [`Self::view_into`].
    ///
    /// # Errors
    /// As [`Self::view_into`], and if [`Self::view_size`] is empty.
    fn view(&self, image: &SourceImage, stream: Stream) -> Result<Image> {
        let (height, width) = self.view_size();
        let mut view = Image::zeros(height, width)?;
        self.view_into(image, stream, view.data_mut())?;
        Ok(view)
    }
}

/// Methods that call those of the same name of what `self` points to.
macro_rules! forward {
    ($($method:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {$(
        fn $method(&self, $($argument: $type),*) -> $output {
            (**self).$method($($argument),*)
        }
    )*};
}

macro_rules! forward_to_pointee {
    ($($pointer:ty),*) => {$(
        impl<A: Augmentation + ?Sized> Augmentation for $pointer {
            forward! {
                view_size() -> (usize, usize);
                view_into(image: &SourceImage, stream: Stream, output: &mut [f32]) -> Result<()>;
                validate() -> Result<()>;
                describe() -> String;
                prepare(image: DecodedImage) -> Result<SourceImage>;
                views_into(image: &SourceImage, stream: Stream, outputs: &mut [&mut [f32]])
                    -> Result<()>;
                view(image: &SourceImage, stream: Stream) -> Result<Image>;
            }
        }
    )*};
}

forward_to_pointee!(Arc<A>, Box<A>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, Policy, Seed};

    /// Writes one number everywhere, and refuses images that are not square.
    #[derive(Debug)]
    struct Constant(f32);

    impl Augmentation for Constant {
        fn view_size(&self) -> (usize, usize) {
            (1, 2)
        }

        fn view_into(&self, image: &SourceImage, stream: Stream, output: &mut [f32]) -> Result<()> {
            if image.height() != image.width() {
                return Err(Error::custom(fmt::Error));
            }
            let second = stream == stream.view(View::Second);
            output.fill(if second { self.0 } else { 0.0 });
            Ok(())
        }
    }

    #[test]
    fn a_foreign_augmentation_needs_two_methods() {
        let augmentation: Arc<dyn Augmentation> = Arc::new(Constant(0.5));
        assert_eq!(augmentation.describe(), "Constant(0.5)");
        augmentation.validate().unwrap();
        let square = DecodedImage::new(2, 2, vec![0; 12]).unwrap();
        let square = augmentation.prepare(square).unwrap();
        let stream = Stream::new(Seed(1)).view(View::Second);
        assert_eq!(augmentation.view(&square, stream).unwrap().data(), [0.5; 6]);
        let mut outputs = [[1.0; 6]; 2];
        let mut slices = outputs.each_mut().map(|output| output.as_mut_slice());
        let made = augmentation.views_into(&square, stream, &mut slices);
        made.unwrap();
        assert_eq!(outputs, [[0.0; 6], [0.5; 6]]);

        let wide = Image::filled(1, 2, [0.0; 3]).unwrap().into();
        let error = augmentation.view(&wide, stream).unwrap_err();
        assert_eq!(error.to_string(), fmt::Error.to_string());
        assert!(std::error::Error::source(&error).is_none());
    }

    #[test]
    fn views_of_prepared_images_are_the_same_and_options_are_told_apart() {
        let decoded = DecodedImage::from_fn(90, 80, |i| (i * 7 % 251) as u8);
        let policy = Policy::paper(16);
        let prepared = policy.prepare(decoded.clone()).unwrap();
        assert_eq!((prepared.height(), prepared.width()), (16, 16));
        assert!(prepared.byte_size() < decoded.data().len());
        let stream = Stream::new(Seed(1)).sample(3);
        let direct = policy.apply(&decoded, stream).unwrap();
        assert_eq!(policy.view(&prepared, stream).unwrap(), direct);
        assert_eq!(policy.view(&decoded.into(), stream).unwrap(), direct);
        let large = DecodedImage::new(20, 20, vec![0; 1200]).unwrap();
        assert_eq!(policy.prepare(large.clone()).unwrap(), large.into());
        assert_ne!(policy.describe(), Policy::paper(17).describe());
    }
}
