/** VitePress's own theme, with enough contrast and no keys in the name of the search button. */
import theme from "vitepress/theme";
import "./style.css";

export default theme;
