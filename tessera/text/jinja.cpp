#include "tessera/text/jinja.h"

#include <nlohmann/json.hpp>

#include "tessera/text/jinja_eval.h"

namespace tessera::text::jinja {

struct Template::Tree {
  std::string name;
  Body body;
};

Template::Template(std::string_view source, std::string name) {
  auto tree = std::make_unique<Tree>();
  tree->name = std::move(name);
  try {
    tree->body = parse(source);
  } catch (const InputError& error) {
    throw InputError("{}, {}", tree->name, error.what());
  }
  tree_ = std::move(tree);
}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

Rendered Template::render(const nlohmann::ordered_json& variables, std::optional<std::tm> now, const Limits& limits) const {
  if (!variables.is_object()) throw InputError("the variables of a template are a JSON object, not {}", variables.type_name());
  std::vector<std::pair<std::string, Value>> values;
  for (const auto& [key, value] : variables.items()) values.emplace_back(key, Value::from_json(value));
  try {
    return Evaluator(limits, now).render(tree_->body, values);
  } catch (const InputError& error) {
    throw InputError("{}, {}", tree_->name, error.what());
  }
}

}  // namespace tessera::text::jinja
