//! Pages against a store in memory, through the whole of [`Ui::answer`].

mod collections;
mod compare;
mod delete;
mod deletion_race;
mod hidden_names;
mod hostile;
mod layers;
mod login;
mod pages;
mod store;
mod tag_sizes;
mod tokens;
