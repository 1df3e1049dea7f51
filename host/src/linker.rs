//! For those who have an engine, a linker and stores of their own: what links the
//! component's imports to a [`UserAuthCtx`] within their data, and what holds an
//! instance to the limits.

use std::io;
use std::time::Duration;

use wasmtime::component::{HasData, Linker};
use wasmtime::{Engine, Store};

use crate::bindings::user_auth::plugin;
use crate::ctx::UserAuthCtx;
use crate::{engine, ports};

/// Gives access to the [`UserAuthCtx`] inside of the `T` of a [`Store<T>`].
///
/// ```
/// use user_auth_host::{UserAuthCtx, UserAuthView};
///
/// struct MyState {
///     user_auth: UserAuthCtx,
///     // and what else the program needs
/// }
///
/// impl UserAuthView for MyState {
///     fn user_auth(&mut self) -> &mut UserAuthCtx {
///         &mut self.user_auth
///     }
/// }
/// ```
pub trait UserAuthView: Send {
    /// The context of the instance that the store is for.
    fn user_auth(&mut self) -> &mut UserAuthCtx;
}

impl UserAuthView for UserAuthCtx {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        self
    }
}

impl<T: UserAuthView + ?Sized> UserAuthView for Box<T> {
    fn user_auth(&mut self) -> &mut UserAuthCtx {
        T::user_auth(self)
    }
}

/// Says that the interfaces of [`bindings`](crate::bindings) are implemented for
/// `&mut UserAuthCtx`: the type parameter `D` of their `add_to_linker` functions, for
/// those who link them one by one.
pub struct UserAuth;

impl HasData for UserAuth {
    type Data<'a> = &'a mut UserAuthCtx;
}

/// Links all that the component imports: the interfaces of `user-auth:plugin`, and
/// the part of WASI that Rust's standard library brings along, which is environment,
/// standard streams, clocks and random numbers. What the component finds there is the
/// settings and nothing else of this program: no input, no files, no network.
///
/// Fails if one of them is in the linker already. If all of WASI is, take
/// [`add_only_user_auth_to_linker`].
///
/// ```
/// use user_auth_host::UserAuthCtx;
/// use wasmtime::Engine;
/// use wasmtime::component::Linker;
///
/// # fn main() -> wasmtime::Result<()> {
/// let engine = Engine::default();
/// let mut linker: Linker<UserAuthCtx> = Linker::new(&engine);
/// user_auth_host::add_to_linker(&mut linker)?;
/// # Ok(())
/// # }
/// ```
pub fn add_to_linker<T: UserAuthView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    ports::wasi::add_to_linker(linker)?;
    add_only_user_auth_to_linker(linker)
}

/// Links the interfaces of `user-auth:plugin` alone, beside
/// `wasmtime_wasi::p2::add_to_linker_async`, which brings what else the component
/// imports. It then sees the `WasiCtx` of the embedder, whose environment has to have
/// the component's [settings](crate::UserAuthHost::settings).
pub fn add_only_user_auth_to_linker<T: UserAuthView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    plugin::types::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::store::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::password_hash::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::keys::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::telemetry::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::client::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::delivery::add_to_linker::<T, UserAuth>(linker, T::user_auth)
}

/// Holds what runs in this store to the limits of its [`UserAuthCtx`] on memory,
/// tables, instances and handles, on what it hands over at one time, and on processor time if the engine has
/// [epoch interruption](wasmtime::Config::epoch_interruption) and a clock, such as
/// [`start_clock`]. To be called before the component is instantiated.
///
/// Calls to the host, log lines and the like are limited without this. For the time
/// on the wall, wrap the call in `tokio::time::timeout` with
/// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call); how many calls
/// there are at one time is for the embedder to say.
pub fn limit_store<T: UserAuthView + 'static>(store: &mut Store<T>) {
    let limits = store.data_mut().user_auth().host().limits();
    let (handles, transfer) = (limits.handles, limits.transfer_bytes());
    store.set_max_component_handles(handles);
    store.set_hostcall_fuel(transfer);
    store.limiter(|data| data.user_auth());
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut cx| cx.data_mut().user_auth().tick());
}

/// Starts the thread that moves the epoch of `engine` on once in `period`, which has
/// to be [`Limits::epoch_tick`](crate::Limits::epoch_tick): processor time is counted
/// in those. It ends with the last clone of the engine. Fails if the system gives no
/// thread.
pub fn start_clock(engine: &Engine, period: Duration) -> io::Result<()> {
    engine::tick(engine.weak(), period)
}
