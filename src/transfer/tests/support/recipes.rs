//! Random stores: images of every kind, made by recipes.

use proptest::prelude::*;
use sampan_engine::oci::Algorithm;

use super::{Image, Store};

/// The recipe of a tagged image.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    repository: usize,
    layers: Vec<usize>,
    is_long: bool,
    /// How many indexes are around it.
    depth: usize,
    /// How many images for other platforms each index has.
    others: usize,
    foreign: bool,
    referrers: usize,
    /// Whether a fallback tag lists an artifact.
    fallback: bool,
}

/// Some tagged images.
pub(crate) fn recipes() -> impl Strategy<Value = Vec<Recipe>> {
    let recipe = (
        (0..3usize, prop::collection::vec(0..4usize, 0..3), any::<bool>(), 0..3usize, 0..3usize),
        (any::<bool>(), 0..3usize, any::<bool>()),
    );
    let recipe =
        recipe.prop_map(|((repository, layers, is_long, depth, others), (foreign, referrers, fallback))| {
            Recipe { repository, layers, is_long, depth, others, foreign, referrers, fallback }
        });
    prop::collection::vec(recipe, 1..6)
}

/// A store with these images.
pub(crate) async fn build(recipes: &[Recipe]) -> Store {
    let store = Store::new();
    for (number, recipe) in recipes.iter().enumerate() {
        let repository = ["a", "a/b", "team/c"][recipe.repository];
        let algorithm = if recipe.is_long { Algorithm::Sha512 } else { Algorithm::Sha256 };
        let layers: Vec<Vec<u8>> =
            recipe.layers.iter().map(|layer| vec![*layer as u8; 100 << layer]).collect();
        let tag = format!("v{number}");
        let tags = |is_top: bool| if is_top { vec![tag.as_str()] } else { Vec::new() };
        // Two recipes may make the same image.
        let config = format!("{}", number / 2);
        let (is_top, foreign) = (recipe.depth == 0, recipe.foreign);
        let mut image = store.image(repository, algorithm, &config, &layers, foreign, &tags(is_top)).await;
        for level in 1..=recipe.depth {
            let mut children = vec![image];
            for other in 0..recipe.others {
                let config = format!("{config} for platform {other}");
                children.push(store.image(repository, algorithm, &config, &layers, false, &[]).await);
            }
            image = store.index(repository, &children, &tags(level == recipe.depth)).await;
        }
        attach(&store, repository, &image, recipe).await;
    }
    store
}

async fn attach(store: &Store, repository: &str, image: &Image, recipe: &Recipe) {
    let mut subject = image.clone();
    for number in 0..recipe.referrers {
        // Each is attached to the one before.
        subject = store.referrer(repository, &subject, &format!("referrer {number}"), &[]).await;
    }
    if recipe.fallback && image.digest.is_canonical() {
        let artifact = store.image(repository, Algorithm::Sha256, "artifact", &[], false, &[]).await;
        let tag = image.digest.to_string().replacen(':', "-", 1);
        store.index(repository, &[artifact], &[&tag]).await;
    }
}
