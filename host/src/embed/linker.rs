//! Support for programs with their own engine, linker and stores: links the component's
//! imports to a [`UserAuthCtx`] in their data, and applies the limits to an instance.

use std::io;
use std::time::Duration;

use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::clocks::WasiClocks;
use wasmtime_wasi::p2::bindings::{cli, clocks, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};
use wasmtime_wasi_io::bindings::wasi::io as wasi_io;

use crate::embed::bindings::user_auth::plugin;
use crate::embed::ctx::{UserAuthCtx, UserAuthView};
use crate::plugin::engine;

/// Marker that the interfaces of [`bindings`](crate::bindings) are implemented for
/// `&mut UserAuthCtx`: the type parameter `D` of their `add_to_linker` functions, for
/// programs that link them individually.
pub struct UserAuth;

impl HasData for UserAuth {
    type Data<'a> = &'a mut UserAuthCtx;
}

/// Links everything that the component imports: the interfaces of `user-auth:plugin`,
/// and the part of WASI that Rust's standard library uses, which is environment,
/// standard streams, clocks and random numbers. The component sees the settings but
/// nothing else of this program: no input, no files, no network.
///
/// Fails if one of them is already in the linker. If all of WASI is, use
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
    add_wasi_to_linker(linker)?;
    add_only_user_auth_to_linker(linker)
}

/// Links only the interfaces of `user-auth:plugin`, in addition to
/// `wasmtime_wasi::p2::add_to_linker_async`, which links the component's other imports.
/// The component then sees the `WasiCtx` of the embedder, whose environment must
/// contain the component's [settings](crate::UserAuthHost::settings).
pub fn add_only_user_auth_to_linker<T: UserAuthView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    plugin::types::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::store::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::password_hash::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::keys::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::signing::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::documents::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::telemetry::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::client::add_to_linker::<T, UserAuth>(linker, T::user_auth)?;
    plugin::delivery::add_to_linker::<T, UserAuth>(linker, T::user_auth)
}

/// Links the part of WASI that Rust's standard library uses. Filesystem and sockets are not
/// linked at all.
fn add_wasi_to_linker<T: UserAuthView + 'static>(l: &mut Linker<T>) -> wasmtime::Result<()> {
    wasi_io::error::add_to_linker::<T, HasTable>(l, |t| t.user_auth().wasi.table())?;
    wasi_io::poll::add_to_linker::<T, HasTable>(l, |t| t.user_auth().wasi.table())?;
    wasi_io::streams::add_to_linker::<T, HasTable>(l, |t| t.user_auth().wasi.table())?;
    clocks::wall_clock::add_to_linker::<T, WasiClocks>(l, |t| t.user_auth().wasi.clocks())?;
    clocks::monotonic_clock::add_to_linker::<T, WasiClocks>(l, |t| t.user_auth().wasi.clocks())?;
    random::random::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    random::insecure::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    random::insecure_seed::add_to_linker::<T, WasiRandom>(l, |t| t.user_auth().random())?;
    cli::exit::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::environment::add_to_linker::<T, UserAuth>(l, T::user_auth)?;
    cli::stdin::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::stdout::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::stderr::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_input::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_output::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stdin::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stdout::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    cli::terminal_stderr::add_to_linker::<T, WasiCli>(l, |t| t.user_auth().cli())?;
    Ok(())
}

struct HasTable;

impl HasData for HasTable {
    type Data<'a> = &'a mut ResourceTable;
}

/// Applies the limits of its [`UserAuthCtx`] to this store: on memory, tables,
/// instances and handles, on the size of one transfer, and on processor time if the
/// engine has [epoch interruption](wasmtime::Config::epoch_interruption) and a clock,
/// such as [`start_clock`]. Call it before instantiating the component.
///
/// Calls to the host, log lines and the like are limited without this. For elapsed
/// time, wrap the call in `tokio::time::timeout` with
/// [`Limits::wall_clock_per_call`](crate::Limits::wall_clock_per_call); the number of
/// concurrent calls is up to the embedder.
pub fn limit_store<T: UserAuthView + 'static>(store: &mut Store<T>) {
    let limits = store.data_mut().user_auth().host().limits();
    let (handles, transfer) = (limits.handles, limits.transfer_bytes());
    store.set_max_component_handles(handles);
    store.set_hostcall_fuel(transfer);
    store.limiter(|data| data.user_auth());
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut cx| cx.data_mut().user_auth().tick());
}

/// Starts the thread that advances the epoch of `engine` once per `period`, which must
/// be [`Limits::epoch_tick`](crate::Limits::epoch_tick), the unit in which processor
/// time is counted. The thread ends with the last clone of the engine. Fails if the
/// system cannot start a thread.
pub fn start_clock(engine: &Engine, period: Duration) -> io::Result<()> {
    engine::tick(engine.weak(), period)
}
