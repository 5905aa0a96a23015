// posetape: the command line. Exit code 0 on success, 2 on wrong usage, 1 on failure with one line,
// 128 and the signal of a training that was stopped.
#include <fmt/format.h>

#include <cstdio>
#include <exception>

#include "tools/commands.hpp"

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
