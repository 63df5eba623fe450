// A form made from what a connector declares of its settings. The server says what is wrong with what was filled in.

import { Checkbox, NumberInput, PasswordInput, Select, TextInput } from "@mantine/core";
import { useTranslation } from "react-i18next";

export interface Field {
  type?: string;
  enum?: string[];
  format?: string;
  default?: unknown;
  description?: string;
  minimum?: number;
  maximum?: number;
  writeOnly?: boolean;
}

export interface Schema {
  properties?: Record<string, Field>;
  required?: string[];
}

export type Values = Record<string, unknown>;

/** Stands for a secret that the server holds; sent back, it is kept. */
export const MASK = "********";

const UNITS = ["s", "ms", "mb"];

/** `connect_timeout_s` as a person would write it. */
export function useFieldLabel() {
  const { t } = useTranslation();
  return (name: string) => {
    const words = name.split("_");
    const unit = UNITS.find((one) => one === words.at(-1));
    const plain = (unit ? words.slice(0, -1) : words).join(" ");
    const said = plain[0]?.toUpperCase() + plain.slice(1);
    return t(`field.${name}`, { defaultValue: unit ? `${said} (${unit})` : said });
  };
}

/** What is to be sent: without what was left as the connector has it by itself. */
export function filledIn(schema: Schema, values: Values): Values {
  const properties = schema.properties ?? {};
  return Object.fromEntries(
    Object.entries(values).filter(
      ([name, value]) =>
        name in properties && value !== undefined && !(value === "" && !schema.required?.includes(name)),
    ),
  );
}

interface Given {
  schema: Schema;
  values: Values;
  change: (values: Values) => void;
  /** What the server found wrong, by field. */
  wrong?: Record<string, string>;
}

/** What must be filled in first, then what can stay as it is. */
export function SchemaForm({ schema, values, change, wrong = {} }: Given) {
  const { t } = useTranslation();
  const all = Object.entries(schema.properties ?? {});
  const first = all.filter(([name, field]) => schema.required?.includes(name) || isFirst(name, field));
  const rest = all.filter((one) => !first.includes(one));
  const input = ([name, field]: [string, Field]) => (
    <Input
      key={name}
      name={name}
      field={field}
      required={schema.required?.includes(name) ?? false}
      value={values[name]}
      error={wrong[name]}
      change={(value) => change({ ...values, [name]: value })}
    />
  );
  return (
    <>
      <div className="form-grid">{first.map(input)}</div>
      {rest.length > 0 && (
        <details className="more" open={rest.some(([name]) => wrong[name])}>
          <summary>{t("form.more", { count: rest.length })}</summary>
          <div className="form-grid">{rest.map(input)}</div>
        </details>
      )}
    </>
  );
}

/** Where to connect to and as whom is asked for at once, also where there is a default. */
const isFirst = (name: string, field: Field) => field.writeOnly === true || ["port", "database"].includes(name);

function Input(given: {
  name: string;
  field: Field;
  required: boolean;
  value: unknown;
  error: string | undefined;
  change: (value: unknown) => void;
}) {
  const { t } = useTranslation();
  const label = useFieldLabel();
  const { name, field, required, error } = given;
  const value = given.value ?? field.default;
  const about = {
    label: label(name),
    description: field.description,
    error,
    required,
    inputWrapperOrder: ["label", "input", "description", "error"] as ("label" | "input" | "description" | "error")[],
  };
  if (field.enum) {
    return (
      <Select
        {...about}
        data={field.enum}
        value={String(value ?? "")}
        allowDeselect={false}
        onChange={(chosen) => given.change(chosen)}
      />
    );
  }
  switch (field.type) {
    case "boolean":
      return (
        <Checkbox
          label={about.label}
          description={about.description}
          error={error}
          checked={Boolean(value)}
          onChange={(event) => given.change(event.currentTarget.checked)}
        />
      );
    case "integer":
    case "number":
      return (
        <NumberInput
          {...about}
          value={typeof value === "number" ? value : ""}
          min={field.minimum}
          max={field.maximum}
          clampBehavior="none"
          allowDecimal={field.type === "number"}
          hideControls
          onChange={(typed) => given.change(typeof typed === "number" ? typed : undefined)}
        />
      );
  }
  const text = { ...about, value: String(value ?? ""), autoComplete: "off", spellCheck: false };
  if (field.format === "password" || field.writeOnly) {
    return (
      <PasswordInput
        {...text}
        description={value === MASK ? t("form.kept") : about.description}
        autoComplete="new-password"
        visibilityToggleButtonProps={{ "aria-label": t("form.reveal") }}
        onFocus={() => value === MASK && given.change("")}
        onChange={(event) => given.change(event.currentTarget.value)}
      />
    );
  }
  return <TextInput {...text} onChange={(event) => given.change(event.currentTarget.value)} />;
}
