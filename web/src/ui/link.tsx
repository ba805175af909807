/** A button that is part of a sentence: it breaks as words do, and what follows stays behind it. */
import type { ComponentChildren } from "preact";

export function Link(props: {
  class: string;
  title: string;
  onClick: () => void;
  children: ComponentChildren;
}) {
  return (
    <span
      class={`link ${props.class}`}
      role="button"
      tabIndex={0}
      title={props.title}
      onClick={props.onClick}
      onKeyDown={(event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        props.onClick();
      }}
    >
      {props.children}
    </span>
  );
}
