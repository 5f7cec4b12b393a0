//! `forward!`: forwards methods of a wrapper to the wrapped driver.

/// Implements methods of [`StorageDriver`](crate::StorageDriver) by calling those of another driver.
///
/// A wrapper lists the methods that it forwards and implements the others; with
/// `#[deny(clippy::missing_trait_methods)]` a method that is in neither group does not compile.
///
/// ```
/// use std::sync::Arc;
/// use sampan_driver::{Capabilities, StorageDriver, forward};
///
/// /// A driver that never redirects clients to its store.
/// #[derive(Debug)]
/// struct WithoutRedirects(Arc<dyn StorageDriver>);
///
/// impl StorageDriver for WithoutRedirects {
///     forward! { self => self.0;
///         name get_content put_content put_all reader writer stat list list_holding walk rename delete delete_tree delete_all
///         sync_deletions check redirect_url
///     }
///
///     fn capabilities(&self) -> Capabilities {
///         Capabilities { redirect: false, ..self.0.capabilities() }
///     }
/// }
/// ```
#[macro_export]
macro_rules! forward {
    (@ name $self:ident $inner:expr) => {
        fn name(&$self) -> &'static str { $inner.name() }
    };
    (@ capabilities $self:ident $inner:expr) => {
        fn capabilities(&$self) -> $crate::Capabilities { $inner.capabilities() }
    };
    (@ get_content $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; get_content(path: $crate::DriverPath) -> $crate::forwarded::Bytes }
    };
    (@ put_content $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner;
            put_content(path: $crate::DriverPath; content: $crate::forwarded::Bytes, mode: $crate::PutMode) -> () }
    };
    (@ put_all $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; put_all(files: [($crate::DriverPath, $crate::forwarded::Bytes)]) -> () }
    };
    (@ reader $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner;
            reader(path: $crate::DriverPath; range: $crate::ByteRange) -> $crate::FileReader }
    };
    (@ writer $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner;
            writer(path: $crate::DriverPath; mode: $crate::WriteMode) -> ::std::boxed::Box<dyn $crate::FileWriter> }
    };
    (@ stat $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; stat(path: $crate::DriverPath) -> $crate::FileInfo }
    };
    (@ list $self:ident $inner:expr) => {
        fn list(
            &$self,
            path: &$crate::DriverPath,
            after: ::std::option::Option<&str>,
        ) -> $crate::forwarded::BoxStream<'static, $crate::Result<$crate::DirEntry>> {
            $inner.list(path, after)
        }
    };
    (@ list_holding $self:ident $inner:expr) => {
        fn list_holding(
            &$self,
            path: &$crate::DriverPath,
            after: ::std::option::Option<&str>,
            holding: &str,
        ) -> $crate::forwarded::BoxStream<'static, $crate::Result<$crate::DirEntry>> {
            $inner.list_holding(path, after, holding)
        }
    };
    (@ walk $self:ident $inner:expr) => {
        fn walk(
            &$self,
            path: &$crate::DriverPath,
            after: ::std::option::Option<&$crate::DriverPath>,
        ) -> $crate::forwarded::BoxStream<'static, $crate::Result<$crate::FileInfo>> {
            $inner.walk(path, after)
        }
    };
    (@ rename $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; rename(from: $crate::DriverPath, to: $crate::DriverPath) -> () }
    };
    (@ delete $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; delete(path: $crate::DriverPath) -> () }
    };
    (@ delete_tree $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; delete_tree(path: $crate::DriverPath) -> () }
    };
    (@ delete_all $self:ident $inner:expr) => {
        fn delete_all(
            &$self,
            paths: $crate::forwarded::BoxStream<'static, $crate::DriverPath>,
            until: $crate::Deadline,
        ) -> $crate::forwarded::BoxStream<'static, ($crate::DriverPath, $crate::Result<()>)> {
            $inner.delete_all(paths, until)
        }
    };
    (@ sync_deletions $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; sync_deletions(paths: [$crate::DriverPath]) -> () }
    };
    (@ check $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner; check() -> $crate::Condition }
    };
    (@ redirect_url $self:ident $inner:expr) => {
        $crate::forward! { @@ $self $inner;
            redirect_url(path: $crate::DriverPath; request: $crate::RedirectRequest)
                -> ::std::option::Option<$crate::forwarded::Url> }
    };
    // An async method as `async_trait` expands it: arguments by reference, then those by value.
    (@@ $self:ident $inner:expr;
        $method:ident($($by_ref:ident: $ref_type:ty),* $(; $($by_value:ident: $type:ty),*)?) -> $output:ty) => {
        $crate::forward! { @@@ $self $inner;
            $method($($by_ref: $ref_type),*) ($($($by_value: $type),*)?) -> $output }
    };
    (@@@ $self:ident $inner:expr;
        $method:ident() ($($by_value:ident: $type:ty),*) -> $output:ty) => {
        fn $method<'driver, 'future>(
            &'driver $self,
            $($by_value: $type),*
        ) -> $crate::forwarded::BoxFuture<'future, $crate::Result<$output>>
        where
            'driver: 'future,
            Self: 'future,
        {
            $inner.$method($($by_value),*)
        }
    };
    (@@@ $self:ident $inner:expr;
        $method:ident($first:ident: $first_type:ty) ($($by_value:ident: $type:ty),*) -> $output:ty) => {
        fn $method<'driver, 'first, 'future>(
            &'driver $self,
            $first: &'first $first_type,
            $($by_value: $type),*
        ) -> $crate::forwarded::BoxFuture<'future, $crate::Result<$output>>
        where
            'driver: 'future,
            'first: 'future,
            Self: 'future,
        {
            $inner.$method($first, $($by_value),*)
        }
    };
    (@@@ $self:ident $inner:expr;
        $method:ident($first:ident: $first_type:ty, $second:ident: $second_type:ty) () -> $output:ty) => {
        fn $method<'driver, 'first, 'second, 'future>(
            &'driver $self,
            $first: &'first $first_type,
            $second: &'second $second_type,
        ) -> $crate::forwarded::BoxFuture<'future, $crate::Result<$output>>
        where
            'driver: 'future,
            'first: 'future,
            'second: 'future,
            Self: 'future,
        {
            $inner.$method($first, $second)
        }
    };
    ($self:ident => $inner:expr; $($method:ident)+) => {
        $($crate::forward! { @ $method $self $inner })+
    };
}

/// Types of other crates, for the code that [`forward!`](crate::forward!) expands to.
#[doc(hidden)]
pub mod forwarded {
    pub use bytes::Bytes;
    pub use futures::future::BoxFuture;
    pub use futures::stream::BoxStream;
    pub use url::Url;
}
