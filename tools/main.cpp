// posetape: the command line. Exit code 0 on success, 2 on wrong usage, 1 on failure with one line.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "engine/error.hpp"
#include "kernels/cpu/parallel.hpp"
#include "kernels/cuda/runtime.hpp"
#include "tools/commands.hpp"

namespace posetape::tools {

void Common::add_to(CLI::App& command) {
  command.add_option("--seed", seed, "Seed of everything random")->capture_default_str();
  command.add_option("--threads", threads, "Threads; results do not depend on it (default: all)")
      ->check(CLI::PositiveNumber);
  command.add_option("--device", device, "Where to compute")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
}

void Common::apply() const {
  if (threads > 0) set_threads(threads);
  if (device != "cuda") return;
  const cuda::DeviceInfo& info = cuda::open();
  fmt::print(stderr, "device: {}, compute capability {}.{}, {:.1f} GB{}\n", info.name, info.major,
             info.minor, static_cast<double>(info.memory) / 1e9,
             info.emulated ? ", emulated on the CPU" : "");
}

}  // namespace posetape::tools

int main(int argc, char** argv) {
  // A log that is followed shows each line when it is written.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  CLI::App app{"Trains and runs D3PRefiner, a diffusion model that denoises 3D human poses."};
  app.name("posetape");
  app.set_version_flag("--version", POSETAPE_VERSION);
  app.require_subcommand(1);
  posetape::tools::add_prepare(app);
  posetape::tools::add_train(app);
  posetape::tools::add_lift(app);
  posetape::tools::add_refine(app);
  posetape::tools::add_evaluate(app);
  posetape::tools::add_convert(app);
  posetape::tools::add_export(app);
  posetape::tools::add_report(app);
  posetape::tools::add_inspect(app);
  posetape::tools::add_info(app);
  posetape::tools::add_profile(app);
  posetape::tools::add_gradcheck(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& error) {
    return error.get_exit_code();  // of a command that has said what failed
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const std::exception& error) {
    fmt::print(stderr, "posetape: {}\n", error.what());
    return 1;
  }
  return 0;
}
